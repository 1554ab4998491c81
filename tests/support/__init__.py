"""What the tests share: planted trees, callers that end them, and systems without processes."""
