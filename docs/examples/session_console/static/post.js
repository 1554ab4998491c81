// Requests that change something carry the token of this page.
import { lose } from "./link.js";

const PATIENCE = 10000; // milliseconds; the server answers at once, or is away
const token = document.querySelector("meta[name=token]").content;

// Returns whether the request was accepted; false if the server is away, as the page says then.
export async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Console-Token": token },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    lose();
    return false;
  }
  if (response.status === 403) location.reload(); // the token of an earlier server
  if (!response.ok) throw new Error((await response.text().catch(() => "")) || `refused (${response.status})`);
  return true;
}
