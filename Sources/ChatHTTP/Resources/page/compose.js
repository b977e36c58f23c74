// Where people write: the field of the chat and that of a thread. Enter sends; others see that somebody writes; the arrow
// up in an empty field edits the last message.

// @param on send(body); edit(), for the last own message; escape()
function composer(form, field, on) {
  submitted(form, async () => {
    const body = field.value;
    field.focus();
    if (body.trim() === "") return;
    await on.send(body);
  });
  field.addEventListener("input", () => {
    // The application is nobody who writes.
    if (users.current && field.value.trim() !== "") open?.stream?.chat.type();
  });
  field.addEventListener("keydown", (event) => {
    // While a character is being composed, keys belong to that.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "ArrowUp" && field.value === "") {
      event.preventDefault();
      on.edit();
    } else if (event.key === "Escape" && on.escape()) {
      event.preventDefault();
    }
  });
}

// The message that the next one answers.
function replyTo(message) {
  open.replyTo = message.number;
  $("reply-text").replaceChildren("Reply to ", ...quoted(message));
  $("reply").hidden = false;
  $("body").focus();
}

function endReply() {
  const was = open?.replyTo != null;
  if (open) open.replyTo = null;
  $("reply").hidden = true;
  return was;
}

// Edits the last own message in a list.
function editLast(list) {
  const row = [...list.querySelectorAll(".message")].findLast((each) =>
    !each.hidden && (each.classList.contains("own") || !users.current) && each.querySelector("[data-action=edit]"));
  if (!row) return;
  row.scrollIntoView({ block: "nearest" });
  row.querySelector("[data-action=edit]").click();
}
