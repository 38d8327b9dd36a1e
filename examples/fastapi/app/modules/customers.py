"""The customers of the shop."""

from fastapi import APIRouter

router = APIRouter()


@router.get("")
def listed() -> list[str]:
    """All of them, by name."""
    return []
