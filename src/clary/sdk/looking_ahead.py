"""What a training would end by once it has a job of its own, looked for before it has one.

Only where something given can be wrong: a training of what is there already begins at once.
"""

from __future__ import annotations

from clary.sdk.data_checking import check_pictures, require_judged
from clary.sdk.network_checking import NetworkCheck
from clary.sdk.picture_training import PictureTraining


def look_ahead(prepared: PictureTraining) -> None:
    """Be sure that the network can be had, and that pictures can be split as they shall be.

    Programs that look share the terminal: weights may be fetched.

    Args:
        prepared: a training that shall be started next.

    Raises:
        UsageError: no picture is held out to judge by.
        ModelError: there is no such network, or its weights can neither be found nor fetched.
        ProgramFailed: the pictures cannot be split so, or it could not be looked at them; the
            program has said why.
    """
    options = prepared.request.options
    given = options.model_dump(mode="json", exclude_unset=True)
    with NetworkCheck(None, given) as networks:
        if options.group_by is not None or not options.valid_fraction:
            counts = check_pictures(prepared.location, given, look=False).counts
            require_judged(counts, options)
        networks.require()
