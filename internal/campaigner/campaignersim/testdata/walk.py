"""Reads a simulated account with the provider's published client, and prints what it found as one JSON object.

usage: walk.py BASE_URL API_KEY CAMPAIGN_ID BOUNCE_ID
"""

import json
import sys

from campaigner_edapi_client import AuthenticatedClient
from campaigner_edapi_client.api.bounces import bounce_all, bounce_details, bounce_hard, bounce_soft
from campaigner_edapi_client.api.campaigns import campaign_details, campaign_link_clickers, campaign_link_details, campaign_links
from campaigner_edapi_client.api.ping import ping
from campaigner_edapi_client.api.subscribers import browse_complaints, browse_removes
from campaigner_edapi_client.types import Unset


def typed(model):
    """The answer as a dictionary. Fails where it lacks a field that the client declares, or has another, or one of another type."""
    name = type(model).__name__
    if model.additional_properties:
        sys.exit(f"{name} has unknown fields: {model.additional_properties}")
    kinds = {"int": int, "str": str, "float": (float, int), "bool": bool, "None": type(None)}
    for field in model.__attrs_attrs__:
        value = getattr(model, field.name)
        if isinstance(value, Unset):
            sys.exit(f"{name} lacks {field.name}")
        wanted = [kinds[k] for k in str(field.type).split(" | ") if k in kinds]
        fits = any(isinstance(value, k) and (k is bool or not isinstance(value, bool)) for k in wanted)
        if wanted and not fits:
            sys.exit(f"{name}.{field.name} is {value!r}, not {field.type}")
        for inner in value if isinstance(value, list) else [value]:
            if hasattr(inner, "additional_properties"):
                typed(inner)
    return model.to_dict()


def rows(call, size):
    """All items of a list, page by page."""
    items, page = [], 1
    while True:
        answer = call(page_number=str(page), page_size=str(size))
        if answer is None:
            sys.exit(f"page {page} was refused")
        items += typed(answer)["Items"]
        if page >= answer.total_pages:
            return items
        page += 1


def main(base_url, key, campaign_id, bounce_id):
    client = AuthenticatedClient(base_url=base_url, token=key, raise_on_unexpected_status=True)
    auth = {"client": client, "api_key": key}
    links = typed(campaign_links.sync(campaign_id, **auth))["TrackedLinks"]
    most = max(links, key=lambda link: link["TotalClicks"])["LinkID"]
    clicks = typed(campaign_link_clickers.sync(campaign_id, str(most), page_size="1000", **auth))
    answer = {
        "ping": typed(ping.sync(**auth)),
        "bounces": rows(lambda **p: bounce_all.sync(**auth, **p), 1000),
        "hard": rows(lambda **p: bounce_hard.sync(**auth, **p), 1000),
        "soft": rows(lambda **p: bounce_soft.sync(**auth, **p), 700),
        "bounce": typed(bounce_details.sync(bounce_id, **auth)),
        "campaign": typed(campaign_details.sync(campaign_id, **auth)),
        "links": links,
        "link": typed(campaign_link_details.sync(campaign_id, str(most), **auth)),
        "clicks": clicks["Items"],
        "complaints": rows(lambda **p: browse_complaints.sync(**auth, **p), 50),
        "removes": rows(lambda **p: browse_removes.sync(**auth, **p), 50),
    }
    json.dump(answer, sys.stdout)


main(*sys.argv[1:])
