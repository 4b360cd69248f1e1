class ShopError(Exception):
    """Something is wrong with the order itself; trying again does not help."""


class InvalidMessage(ShopError):
    pass


class OrderNotFound(ShopError):
    pass


class NotShippable(ShopError):
    pass
