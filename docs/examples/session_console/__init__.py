"""The session console: agents on a web page, where Stop means that nobody is left."""
