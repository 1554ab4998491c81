// Requests that change something carry the token of this page.
const token = document.querySelector("meta[name=token]").content;

export async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Console-Token": token },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error((await response.text()) || `refused (${response.status})`);
  return response;
}
