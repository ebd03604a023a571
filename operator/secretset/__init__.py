"""secretset-operator: SecretSets and ImagePullSecrets become native Secrets in their regions.

The package has five layers; each knows only those after it (import-linter enforces it):
``cli`` and ``handlers`` > ``controller`` > ``kube`` > ``domain``. ``domain`` decides and does no IO.
"""

__version__ = "0.1.0"
