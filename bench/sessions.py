"""The yardstick for delivering: sessions of `requests` in threads, that post and do nothing else.

python bench/sessions.py http://127.0.0.1:9000 --threads 8 --seconds 3
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import bodies
import requests


def main() -> None:
    """Post for so many seconds; prints the rate."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("url")
    options.add_argument("--threads", type=int, default=8)
    options.add_argument("--seconds", type=float, default=3)
    given = options.parse_args()
    mixture = bodies.sample(64)
    counts = [0] * given.threads
    end = time.monotonic() + given.seconds

    def post(place: int) -> None:
        session = requests.Session()
        while time.monotonic() < end:
            body = mixture[counts[place] % len(mixture)]
            session.post(given.url, data=body, headers={"Content-Type": "application/json"})
            counts[place] += 1

    threads = [threading.Thread(target=post, args=(place,)) for place in range(given.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{sum(counts) / given.seconds}\n")


if __name__ == "__main__":
    main()
