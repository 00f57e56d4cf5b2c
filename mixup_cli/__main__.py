"""`python -m mixup_cli` is `mixup`."""

from mixup_cli.cli import main

if __name__ == "__main__":
    main()
