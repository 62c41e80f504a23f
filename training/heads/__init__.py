"""A head per task: encodings → logits. What a head does, its exported graph does.

A head is a *body* (features → logits: linear, MLP, a transformers class's own) behind what makes its
features:

    ============================  ==============================================  ========================
    head                          reads                                           answers for
    ============================  ==============================================  ========================
    ``PooledHead``                a vector, or a vector for each layer            a sequence
    ``BiEncoderHead``             two of them, combined                           a pair
    ``SegmentHead``               token states: own layers, own pooling           a sequence
    ``TokenHead``                 a token's state                                 a token
    ``SubEncodedTokenHead``       token states: own layers                        a token
    a user's module               what its ``input_names`` say                    what the kind asks
    ============================  ==============================================  ========================
"""

from training.heads.base import Head
from training.heads.bodies import ScaledSigmoid, build_body
from training.heads.combines import COMBINES, DEFAULT_COMBINE, combined_size
from training.heads.poolings import AttentionPooling, ClsPooling, LayerMix, MaxPooling, MeanPooling
from training.heads.sequence import BiEncoderHead, PooledHead, SegmentHead
from training.heads.sub_encoder import SubEncoder
from training.heads.token import SubEncodedTokenHead, TokenHead

__all__ = [
    "COMBINES",
    "DEFAULT_COMBINE",
    "AttentionPooling",
    "BiEncoderHead",
    "ClsPooling",
    "Head",
    "LayerMix",
    "MaxPooling",
    "MeanPooling",
    "PooledHead",
    "ScaledSigmoid",
    "SegmentHead",
    "SubEncodedTokenHead",
    "SubEncoder",
    "TokenHead",
    "build_body",
    "combined_size",
]
