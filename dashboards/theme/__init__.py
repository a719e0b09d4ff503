"""How the page, the report and every chart look: one palette, one style sheet, one script for the dark mode."""
