"""The agent that the console starts: an MCP client, its servers, and a preview over HTTP."""
