"""The OpenAPI document: every status of every path, and the bodies that we read ourselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from secretset import __version__
from secretset.api import bodies
from secretset.api.models import Asked, ErrorResponse

_SCHEMAS = "#/components/schemas/"

_ERRORS = {
    400: "What was sent breaks a rule, which the text names",
    401: "No token, or none that the hub accepts. The code is `401` under /v1/organizations and /v1/users, else "
    "`UNAUTHORIZED`",
    403: "The caller may see it, and not do that",
    404: "It is not there, or the caller may not see it: nothing tells which",
    405: "Method not allowed",
    408: "The body took too long",
    409: "Another request is modifying this secret set concurrently, or the organization is being deleted. Retry the "
    "request.",
    413: "The body is too long",
    429: "Too many requests: wait as long as Retry-After says",
    500: "Internal server error",
    503: "The hub cannot be asked, or too many requests are answered at the moment; to be tried again",
    504: "The hub did not answer in time",
}
_LATER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_WRITES = frozenset({400, 403, 408, 409, 413})


def statuses(*more: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer besides its success, for ``responses=``: what all may, and more."""
    wanted = sorted({401, 404, 405, 429, 500, 503, 504, *more})
    return {
        status: {
            "model": ErrorResponse,
            "description": _ERRORS[status],
            **({"headers": _LATER} if status in {429, 503} else {}),
        }
        for status in wanted
    }


def writes(*more: int) -> dict[int | str, dict[str, Any]]:
    """The same of a route that changes something."""
    return statuses(*_WRITES, *more)


PUT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [{"$ref": _SCHEMAS + form.__name__} for form in bodies.FORMS]},
                "examples": {
                    "regularSecrets": {
                        "summary": "Regular secrets",
                        "description": "Create or update a set with multiple key-value pairs",
                        "value": {
                            "secrets": [
                                {"secretKey": "API_KEY", "secretValue": "your-api-key"},
                                {
                                    "secretKey": "DATABASE_URL",
                                    "secretValue": "postgresql://user:pass@host:5432/db",
                                },
                            ],
                            "region": "us-west",
                        },
                    },
                    "oneKey": {
                        "summary": "One key",
                        "value": {"secretKey": "API_KEY", "secretValue": "your-api-key"},
                    },
                    "imagePullSecret": {
                        "summary": "Image pull secret",
                        "description": "Create or update an image pull secret",
                        "value": {
                            "isImagePullSecret": True,
                            "host": "https://index.docker.io/v1/",
                            "secretValue": "dXNlcjp0b2tlbg==",
                            "region": "us-west",
                        },
                    },
                },
            }
        },
    }
}
"""``openapi_extra`` of the PUT."""


def body(form: type[Asked]) -> dict[str, Any]:
    """``openapi_extra`` of a route with a body of one form; `install` is given the form too."""
    schema = {"$ref": _SCHEMAS + form.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def install(app: FastAPI, forms: Iterable[type[Asked]]) -> None:
    """Have the application describe itself at its ``openapi_url``, with the forms of the bodies that we read."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title="secretset",
                version=__version__,
                summary="Secret sets of a team's own clusters, with the paths of Pipecat Cloud's API.",
                description=__doc__,
                routes=app.routes,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for form in forms:
                schema = form.model_json_schema(ref_template=_SCHEMAS + "{model}")
                schemas |= schema.pop("$defs", {})
                schemas[form.__name__] = schema
            # What is not valid is a 400 here.
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
