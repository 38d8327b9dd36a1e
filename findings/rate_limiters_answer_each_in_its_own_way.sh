#!/usr/bin/env bash
# Four libraries that limit requests, the second request within a minute. django-ratelimit answers 403, which looks like a
# refusal of the auth layer. Litestar's 429 has no Retry-After; Flask-Limiter sends `Retry-After: 60` with each 200 as well. When
# the limit ends is a date in seconds for the one and a number of seconds from now for the other, under names nearly alike.
. "$(dirname "$0")/lib/finding.sh"
python_packages flask-limiter==4.1.1 flask==3.1.3 django-ratelimit==4.1.0 django==5.2.19 litestar==2.25.0 quart-rate-limiter==0.12.1 quart==0.22.0
cat >ask.py <<'PYTHON'
import asyncio, datetime, logging, sys, time

logging.disable()

def by_flask():
    import flask, flask_limiter, flask_limiter.util
    app = flask.Flask("a")
    flask_limiter.Limiter(flask_limiter.util.get_remote_address, app=app, default_limits=["1/minute"],
                          headers_enabled=True, storage_uri="memory://")
    app.get("/")(lambda: "a")
    return [app.test_client().get("/") for _ in range(2)]

def by_django():
    import django, django.conf, django.http, django.test, django.urls
    django.conf.settings.configure(ROOT_URLCONF="__main__", ALLOWED_HOSTS=["*"])
    django.setup()
    from django_ratelimit.decorators import ratelimit
    global urlpatterns
    urlpatterns = [django.urls.path("", ratelimit(key="ip", rate="1/m")(lambda _: django.http.HttpResponse("a")))]
    return [django.test.Client().get("/") for _ in range(2)]

def by_litestar():
    from litestar import Litestar, get
    from litestar.middleware.rate_limit import RateLimitConfig
    from litestar.testing import TestClient
    @get("/")
    async def route() -> str:
        return "a"
    with TestClient(Litestar([route], middleware=[RateLimitConfig(rate_limit=("minute", 1)).middleware])) as client:
        return [client.get("/") for _ in range(2)]

def by_quart():
    import quart, quart_rate_limiter
    app = quart.Quart("a")
    quart_rate_limiter.RateLimiter(app)
    @app.get("/")
    @quart_rate_limiter.rate_limit(1, datetime.timedelta(minutes=1))
    async def route():
        return "a"
    async def ask():
        return [await app.test_client().get("/") for _ in range(2)]
    return asyncio.run(ask())

def shown(response):
    retry = "Retry-After" if "Retry-After" in response.headers else "no Retry-After"
    reset = next((value for name, value in response.headers.items() if name.lower().endswith("ratelimit-reset")), None)
    when = "no reset" if reset is None else "a date" if float(reset) > time.time() / 2 else "seconds"
    return f"{response.status_code} {retry}, {when}"

print("; ".join(shown(response) for response in globals()[f"by_{sys.argv[1]}"]()))
PYTHON
ask() { python3 -W ignore ask.py "$1"; }
seen "Flask-Limiter" "200 Retry-After, a date; 429 Retry-After, a date" "$(ask flask)"
seen "django-ratelimit" "200 no Retry-After, no reset; 403 no Retry-After, no reset" "$(ask django)"
seen "Litestar" "200 no Retry-After, seconds; 429 no Retry-After, seconds" "$(ask litestar)"
seen "Quart-Rate-Limiter" "200 no Retry-After, seconds; 429 Retry-After, seconds" "$(ask quart)"
