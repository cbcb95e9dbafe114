"""The product's settings for the tests: a data folder of its own, made keys, a fast hasher, static files unhashed."""

import atexit
import os
import shutil
import tempfile

os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="adminapp-tests-")
atexit.register(shutil.rmtree, os.environ["DATA_DIR"], ignore_errors=True)

from adminapp import keys  # noqa: E402
from adminapp.settings import *  # noqa: E402, F403
from adminapp.settings import DATA_DIR, DATABASES, ENVIRONMENT, STATIC_ROOT  # noqa: E402

os.umask(0o022)  # the product writes for its own user alone; what tests make for other programs has to be readable
keys.make_encryption_keys(
    ring=ENVIRONMENT.encryption_key_files, fingerprint=ENVIRONMENT.fingerprint_key_file, ciphertext_exists=False
)
STATIC_ROOT.mkdir(exist_ok=True)

ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: threads and processes of a test share it, under the locks that production has.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}
