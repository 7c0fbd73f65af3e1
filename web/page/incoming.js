// Where photos come from: dropped, chosen, pasted, or the sample.

const get = (id) => document.getElementById(id);

/** `taken` is called with the files that came, at least one; `nothing` with what came instead, in words. */
export function takePhotos(taken, nothing) {
  const choose = () => get("file").click();
  get("choose").addEventListener("click", choose);
  get("another").addEventListener("click", choose);
  get("sample").addEventListener("click", async () => {
    try {
      const response = await fetch("/sample.jpg");
      if (!response.ok) throw new Error(response.statusText);
      taken([new File([await response.blob()], "sample.jpg", { type: "image/jpeg" })]);
    } catch {
      nothing("The sample could not be loaded", "The server does not answer. Start it with tensorhop up, then try again.");
    }
  });
  get("file").addEventListener("change", ({ target }) => {
    const files = [...target.files];
    target.value = ""; // the same file again is a choice too
    if (files.length) taken(files);
  });

  const writes = ({ target }) => target instanceof Element && target.matches("input[type=text], input[type=password]");
  document.addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    if (writes(event) && (types.includes("text/plain") || !files.length)) return; // words for the field
    if (files.length) taken([...files]);
    else nothing("There is no picture in the clipboard", "Copy a picture, not its address or text, and paste again.");
  });

  const hasFiles = (event) => event.dataTransfer.types.includes("Files");
  const mark = (on) => get("stage").classList.toggle("target", on);
  let own = false; // what is dragged comes from the page itself
  document.addEventListener("dragstart", () => (own = true));
  document.addEventListener("dragend", () => (own = false));
  const ours = (event) => own || (writes(event) && !hasFiles(event));
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (ours(event)) return;
      event.preventDefault(); // otherwise the browser leaves the page for what is dropped
      mark(hasFiles(event));
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    mark(false);
    if (ours(event)) return;
    event.preventDefault();
    const { files } = event.dataTransfer;
    if (files.length) taken([...files]);
    else nothing("That was not a file", "Save the picture first, then drop its file here.");
  });
  return { choose };
}
