"""``python -m purejaxexplore``: the command line."""

from purejaxexplore.cli import main

if __name__ == "__main__":
    main()
