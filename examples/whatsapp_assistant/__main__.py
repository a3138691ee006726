"""``python -m examples.whatsapp_assistant``: try it, without a key."""

from .try_it import main

if __name__ == "__main__":
    main()
