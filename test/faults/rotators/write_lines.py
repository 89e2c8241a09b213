# As write-lines.ts, with Python's RotatingFileHandler:
#
#   python3 write_lines.py FILE RECORD LINES-A-SECOND SECONDS

import logging
import logging.handlers
import os
import sys
import time

ROTATE_BYTES = 1_200_000

file, record = sys.argv[1:3]
rate, seconds = int(sys.argv[3]), int(sys.argv[4])

handler = logging.handlers.RotatingFileHandler(file, maxBytes=ROTATE_BYTES, backupCount=1000)
handler.setFormatter(logging.Formatter('%(message)s'))
logger = logging.getLogger('lines')
logger.setLevel(logging.INFO)
logger.addHandler(handler)

began = time.monotonic()
lines = 0
with open(record, 'a') as written:
    while lines < rate * seconds:
        time.sleep(0.005)
        due = min(rate * seconds, (time.monotonic() - began) * rate)
        while lines < due:
            line = f'{os.path.basename(file)} line {lines} '.ljust(99, 'x')
            written.write(line + '\n')
            logger.info(line)
            lines += 1
took = time.monotonic() - began
print(f'# RotatingFileHandler: {lines} lines in {took:.1f} s, {lines / took:.0f} a second')
