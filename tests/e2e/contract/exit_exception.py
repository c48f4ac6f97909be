# status: 1

raise KeyError("another")
#: Traceback (most recent call last):
#: KeyError: 'another'
