"""Models of real radiographs, built by one command on the machine of a user who has OpenI."""
