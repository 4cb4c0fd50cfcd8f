// The page that asks for the token: says that the one before was wrong.

document.getElementById("wrong").hidden = !new URLSearchParams(location.search).has("wrong");
