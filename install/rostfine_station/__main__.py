"""``python -m rostfine_station``: the same as the command ``rostfine``."""

from rostfine_station import main

if __name__ == "__main__":
    main()
