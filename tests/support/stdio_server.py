"""A small MCP server on standard input and output."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("greeter")


@server.tool()
def greet(name: str) -> str:
    """Say hello."""
    return f"hello {name}"


server.run("stdio")
