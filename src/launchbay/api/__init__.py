"""One function per verb. The command line and the web call only this, and so may a program.

    import launchbay
    bay = launchbay.open_bay()
    fleet = launchbay.launch(bay, "tensorflow", count=3, name="exp")
    run = launchbay.train(bay, "exp-1", "train.py", data="data")

Every function takes a frozen `Bay` first, blocks until it is done, may be killed and called again, and raises a
subclass of `LaunchbayError` when it cannot do what it was asked. `launchbay.to_json` turns what it returns into plain
JSON values.
"""

__all__: list[str] = []
