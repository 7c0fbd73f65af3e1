// Asks for the token of a server that needs one.

const get = (id) => document.getElementById(id);

/** The token that the reader gives; "" if none. */
export function askToken(refused) {
  const dialog = get("ask"), input = get("ask-token");
  get("ask-text").textContent = refused
    ? "The server did not take that token. Try another one."
    : "Its operator has it. The page keeps it until you close the page.";
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

get("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  get("ask").close(get("ask-token").value.trim());
});
get("ask-cancel").addEventListener("click", () => get("ask").close(""));
