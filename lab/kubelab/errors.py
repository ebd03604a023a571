"""What can go wrong, as one tree, so that the command line shows a sentence and a test can catch a type.

KubelabError
├── BinaryMissingError   no binary, no Go that could build one
├── BuildError           go build ended with an error
├── InvalidNameError     a name that cannot be a folder's
├── NameTakenError       a plane of that name is running
├── UnknownPlaneError    no plane of that name is running
├── StartError           a program ended, or was not ready in time
├── ControlError         the supervisor refused or could not be asked
├── KubectlError         kubectl failed
└── ApiError             the API server refused a request of the lab itself
"""


class KubelabError(Exception):
    """The base: its text is made to be shown to a person, as it is."""


class BinaryMissingError(KubelabError):
    """No control plane binary was found and none can be built; the text says what to install."""


class BuildError(KubelabError):
    """`go build` failed; the text ends with what Go wrote."""


class InvalidNameError(KubelabError):
    """The name of a plane is the name of a folder, so few characters are allowed."""


class NameTakenError(KubelabError):
    """A plane of this name is running already."""


class UnknownPlaneError(KubelabError):
    """No plane of this name is running."""


class StartError(KubelabError):
    """A program of the plane ended early or did not become ready; the text ends with the last lines of its log."""


class ControlError(KubelabError):
    """A running plane's supervisor refused a request, or is gone."""


class KubectlError(KubelabError):
    """`ControlPlane.kubectl` failed; the text ends with what kubectl wrote to its error stream."""


class ApiError(KubelabError):
    """The API server answered a request of the lab itself with an error.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
