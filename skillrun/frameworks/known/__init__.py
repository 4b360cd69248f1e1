"""Job libraries that skillrun recognises and cannot read yet: an entry of data each, and one
generic recogniser.
"""
