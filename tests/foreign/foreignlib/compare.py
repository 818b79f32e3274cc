# SPDX-License-Identifier: PostgreSQL
"""Two runs of the same tests, side by side."""

from collections import Counter

AGAIN_MAX = 200  # more than that do not differ by chance


def differences(without, with_):
    """{test: (outcome without, outcome with)} of those that are not alike."""
    return {name: (without.get(name, "not run"), with_.get(name, "not run"))
            for name in {*without, *with_} if without.get(name) != with_.get(name)}


def still(names, without, with_):
    """Of those that differed: whoever was not once as it is in the other way, in these rounds."""
    left = {}
    for name in names:
        a = {r.get(name, "not run") for r in without}
        b = {r.get(name, "not run") for r in with_}
        if not a & b:
            left[name] = (" or ".join(sorted(a)), " or ".join(sorted(b)))
    return left


def summary(suite, outcomes, facts, differ):
    without, with_ = facts["without"], facts["with"]
    count = Counter(outcomes["with"].values())
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(count.items(), key=lambda item: -item[1]))
    return (f"{suite.name}: {sum(count.values())} tests ({kinds}), {differ} differ; "
            f"{with_.tables} tables watched, {len(with_.left_out)} left out; "
            f"{with_.recorded} changes recorded, {with_.losses} lost; "
            f"{without.seconds:.1f} s without, {with_.seconds:.1f} s with; beside them "
            f"{with_.transactions} SERIALIZABLE transactions, {with_.conflicts} failed, "
            f"and a daemon that told {with_.heard} events")
