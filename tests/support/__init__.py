"""What the tests of real processes stand on: trees that are planted, and callers that end them."""
