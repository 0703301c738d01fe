"""`python -m ubereport` is the `ubereport` program."""

from ubereport.cli.main import main

if __name__ == "__main__":
    main()
