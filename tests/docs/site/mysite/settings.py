"""As little as Django needs."""

ALLOWED_HOSTS = ["localhost"]
MIDDLEWARE = ["asgi_middleware.integrations.django.RouteMiddleware"]
ROOT_URLCONF = "mysite.urls"
SECRET_KEY = "signs nothing"
