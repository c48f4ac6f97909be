# A script that ends with sys.exit(): the status of the run.
# status: 3

import sys

print("last words")
sys.exit(3)
