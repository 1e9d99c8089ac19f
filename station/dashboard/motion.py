"""How a sperm swims, in words: its WHO 2021 class and the figures it comes from, or why there are none."""

from station.transport.messages import KinematicsInfo


def motion_in_words(info: KinematicsInfo, room: int) -> str:
    """Return the class and as many figures as fit into ``room`` characters, the most used first."""
    if info.refused:
        return f"motion: {info.refused}"
    words = f"WHO: {info.motility}"
    for figure in _figures(info):
        longer = f"{words}  {figure}"
        if len(longer) > room:
            break
        words = longer
    return words


def _figures(info: KinematicsInfo) -> list[str]:
    """Return the figures with their units, in the order in which people ask for them; those not known are left out."""
    named = (
        ("VCL", info.vcl_um_s, "um/s", 0),
        ("VSL", info.vsl_um_s, "um/s", 0),
        ("VAP", info.vap_um_s, "um/s", 0),
        ("LIN", info.lin, "", 2),
        ("STR", info.straightness, "", 2),
        ("WOB", info.wob, "", 2),
        ("ALH", info.alh_mean_um, "um", 1),
        ("BCF", info.bcf_hz, "Hz", 0),
        ("MAD", info.mad_deg, "deg", 0),
        ("at", info.rate_hz, "samples/s", 0),  # values from different rates must not be compared
    )
    return [f"{name} {value:.{digits}f} {unit}".rstrip() for name, value, unit, digits in named if value is not None]
