import io
import os
import zipfile

from . import config


class MissingNegative(Exception):
    pass


def archive(order_id, frames):
    """The order's prints as a zip. The same frames are the same bytes, today and tomorrow."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as pack:
        for frame in frames:
            name = "%03d_%s_x%d.jpg" % (frame.position, frame.format, frame.copies)
            pack.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), _negative(frame.negative))
        listing = "".join("%03d;%s;%s;%d\n" % frame for frame in frames)
        pack.writestr(zipfile.ZipInfo("order-%d.csv" % order_id, (1980, 1, 1, 0, 0, 0)), listing)
    return out.getvalue()


def _negative(name):
    try:
        with open(os.path.join(config.NEGATIVES, name), "rb") as source:
            return source.read()
    except FileNotFoundError:
        raise MissingNegative(name) from None
