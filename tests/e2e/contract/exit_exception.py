# A script that ends with an exception: its traceback.
# status: 1

raise KeyError("another")
#: Traceback (most recent call last):
#: KeyError: 'another'
