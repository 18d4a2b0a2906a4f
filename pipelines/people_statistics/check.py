"""The owner's check: every job with a salary has an oldest person. Exit code 0 says that all is right."""

import argparse
import csv
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--day", required=True)
    parser.add_argument("--result", required=True, type=Path)
    options = parser.parse_args()
    paid = {folder.name.removeprefix("job=") for folder in options.result.glob("sim-salary-by-job/rows/job=*")}
    oldest = set()
    for file in options.result.glob("sim-oldest/rows/*.csv"):
        with file.open(encoding="utf-8", newline="") as text:
            oldest |= {row["job"] for row in csv.DictReader(text)}
    print(f"{options.day}: {len(paid)} jobs with salaries, {len(oldest)} with people")
    return 0 if paid and paid <= oldest else 1


if __name__ == "__main__":
    sys.exit(main())
