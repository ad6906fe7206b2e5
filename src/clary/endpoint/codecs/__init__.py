"""Bodies of requests to pictures, pictures to crops, probabilities to bodies of answers.

What a body can be wrong about is a `Refusal`: 400 for what cannot be read, 413 for too much of
it, 415 for a type that is not served, 406 for an answer that is not offered.
"""

from clary.endpoint.codecs.answers import AnswerForm, encode_answer, negotiate
from clary.endpoint.codecs.crops import Cropper
from clary.endpoint.codecs.requests import Limits, Picture, decode_request

__all__ = [
    "AnswerForm",
    "Cropper",
    "Limits",
    "Picture",
    "decode_request",
    "encode_answer",
    "negotiate",
]
