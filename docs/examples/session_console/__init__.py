"""The session console: agents on a web page, where Stop leaves no process behind."""
