OPENING = {
    1: "vielleicht ist es im Trubel untergegangen: Ihre Bestellung %d ist noch offen.",
    2: "trotz unserer Erinnerung ist Ihre Bestellung %d noch nicht bezahlt.",
    3: "dies ist unsere letzte Erinnerung an Ihre Bestellung %d.",
}


def subject(order, number):
    return "%d. Zahlungserinnerung zu Ihrer Bestellung %d" % (number, order.id)


def text(order, number):
    euros = ("%.2f" % (order.amount_cents / 100)).replace(".", ",")
    return "Guten Tag %s,\n\n%s\nBitte überweisen Sie %s EUR.\n\nIhre Imkerei Lindental\n" % (
        order.customer, OPENING[number] % order.id, euros,
    )
