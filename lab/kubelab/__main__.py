"""`python -m kubelab`: the same as the command `kubelab`."""

from kubelab.cli import main

if __name__ == "__main__":
    main()
