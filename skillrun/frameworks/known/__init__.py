"""The one recogniser of job libraries, which reads an entry of data each; and the entries of those
that skillrun recognises and cannot read yet.
"""
