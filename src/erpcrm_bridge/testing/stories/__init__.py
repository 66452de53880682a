"""The story harness: whole runs of the engine over three systems in memory, with people, faults and deaths, each from one seed.

::

    python -m erpcrm_bridge.testing.stories --seed 17        # plays one story and says what became of it
    python -m erpcrm_bridge.testing.stories --stories 2000   # plays many
"""
