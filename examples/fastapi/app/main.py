"""Serves each module of this package below /api, to those who may see it."""

import importlib
import os
import pkgutil
import secrets

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from app import modules

basic = HTTPBasic()


def operator(credentials: HTTPBasicCredentials = Depends(basic)) -> str:
    """The caller's name; 401 for a wrong password, and by HTTPBasic itself for none."""
    password = os.environ["API_PASSWORD"]
    if not secrets.compare_digest(credentials.password.encode(), password.encode()):
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})
    return credentials.username


app = FastAPI()

for module in pkgutil.iter_modules(modules.__path__):
    router = importlib.import_module(f"{modules.__name__}.{module.name}").router
    app.include_router(router, prefix=f"/api/{module.name}", dependencies=[Depends(operator)])


@app.get("/version")
def version() -> dict[str, str]:
    """The commit that the image was built from."""
    return {"commit": os.environ.get("GIT_SHA", "")}
