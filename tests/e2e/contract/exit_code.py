# status: 3

import sys

print("last words")
sys.exit(3)
