"""The decision guide's pages. The guide itself is the package decision_guide; nothing here decides.

Who only wants an answer needs no account, and nothing of theirs is stored: answers travel in the
form, in the browser's own storage, or in a link's fragment. Team assessments, milestones and
companies' own models are kept in the database.
"""
