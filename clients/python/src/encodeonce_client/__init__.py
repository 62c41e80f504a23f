"""Client of the EncodeOnce service.

    from encodeonce_client import Client

    with Client("http://localhost:3000") as client:
        print(client.predict(["Where is my order?"], tasks=["intent"]).predictions[0]["intent"].label)

One implementation of requests, decoding and retries; ``Client`` and ``AsyncClient`` only do the waiting.
"""

from encodeonce_client.answers import (
    Answer,
    AnswerSpan,
    ChoiceAnswer,
    EntitiesAnswer,
    Entity,
    LabelAnswer,
    LabelsAnswer,
    RankedDocument,
    RankingAnswer,
    SpanAnswer,
    TaggedToken,
    TokensAnswer,
    ValueAnswer,
)
from encodeonce_client.asynchronous import AsyncClient
from encodeonce_client.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    EncodeOnceError,
    FieldFault,
    Forbidden,
    InvalidRequest,
    NotReady,
    Overloaded,
    Problem,
    ProblemError,
    ServerFault,
    Unauthorised,
    UnknownName,
)
from encodeonce_client.responses import (
    Embeddings,
    LineResult,
    Predictions,
    TaskInfo,
    TaskPredictions,
    Usage,
)
from encodeonce_client.retries import Retries
from encodeonce_client.synchronous import Client

__all__ = [
    "Answer",
    "AnswerSpan",
    "AsyncClient",
    "ChoiceAnswer",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Embeddings",
    "EncodeOnceError",
    "EntitiesAnswer",
    "Entity",
    "FieldFault",
    "Forbidden",
    "InvalidRequest",
    "LabelAnswer",
    "LabelsAnswer",
    "LineResult",
    "NotReady",
    "Overloaded",
    "Predictions",
    "Problem",
    "ProblemError",
    "RankedDocument",
    "RankingAnswer",
    "Retries",
    "ServerFault",
    "SpanAnswer",
    "TaggedToken",
    "TaskInfo",
    "TaskPredictions",
    "TokensAnswer",
    "Unauthorised",
    "UnknownName",
    "Usage",
    "ValueAnswer",
]
