// More rows for variables and volumes: a copy of the last one, empty.
for (const button of document.querySelectorAll("[data-more-rows]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const rows = document.getElementById(button.dataset.moreRows);
    const row = rows.lastElementChild.cloneNode(true);
    for (const input of row.querySelectorAll("input")) input.value = "";
    rows.append(row);
    row.querySelector("input").focus();
  });
}
