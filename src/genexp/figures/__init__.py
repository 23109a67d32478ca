"""Pictures for people: plots of this project, and samples as one picture."""
