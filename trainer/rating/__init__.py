"""How raters grade clips in a browser: the study, the votes, the server, the agreement, and what comes out."""
