package sample

// oddNames are names that break naive code: quoting, escaping, separators, trailing
// blanks, composed and decomposed accents, scripts beyond Latin-1 and beyond the BMP.
// The first rows of a table take them in order, so that the smallest sample has all.
func oddNames() []string {
	return []string{
		"O'BRIEN", `"ACE"`, `BACK\SLASH`, `TRAIL\`, "TRAILING  ", " LEADING", "", "NULL",
		"ZOË", "Zoe\u0308", "Ame\u0301lie", "ŁUKASZ", "STRAẞE", "İSTANBUL", "山田", "𠮷野家", "김민준",
		"محمد", "עברית", "नमस्ते", "🎬", "👩‍👩‍👧‍👦 FAMILY", "50%_OFF", "A|B,C;D:E", "TAB\tNAME", "LINE\nBREAK", "x'--; DROP",
	}
}

func firstNames() []string {
	return []string{
		"MARY", "PATRICIA", "LINDA", "BARBARA", "ELIZABETH", "JENNIFER", "MARIA", "SUSAN", "MARGARET", "DOROTHY",
		"LISA", "NANCY", "KAREN", "BETTY", "HELEN", "SANDRA", "DONNA", "CAROL", "RUTH", "SHARON", "JAMES", "JOHN",
		"ROBERT", "MICHAEL", "WILLIAM", "DAVID", "RICHARD", "CHARLES", "JOSEPH", "THOMAS", "DANIEL", "PAUL", "MARK",
	}
}

func lastNames() []string {
	return []string{
		"SMITH", "JOHNSON", "WILLIAMS", "JONES", "BROWN", "DAVIS", "MILLER", "WILSON", "MOORE", "TAYLOR", "ANDERSON",
		"THOMAS", "JACKSON", "WHITE", "HARRIS", "MARTIN", "THOMPSON", "GARCIA", "MARTINEZ", "ROBINSON", "CLARK",
		"RODRIGUEZ", "LEWIS", "LEE", "WALKER", "HALL", "ALLEN", "YOUNG", "HERNANDEZ", "KING", "WRIGHT", "LOPEZ",
	}
}

func titleWords() []string {
	return []string{
		"ACADEMY", "DINOSAUR", "ACE", "GOLDFINGER", "ADAPTATION", "HOLES", "AFFAIR", "PREJUDICE", "AFRICAN", "EGG",
		"AGENT", "TRUMAN", "AIRPLANE", "SIERRA", "AIRPORT", "POLLOCK", "ALABAMA", "DEVIL", "ALADDIN", "CALENDAR",
		"ALAMO", "VIDEOTAPE", "ALASKA", "PHANTOM", "ALI", "FOREVER", "ALICE", "FANTASIA", "ALIEN", "CENTER",
	}
}

// categoryNames are Sakila's sixteen and four that are harder to carry.
func categoryNames() []string {
	return []string{
		"Action", "Animation", "Children", "Classics", "Comedy", "Documentary", "Drama", "Family", "Foreign", "Games",
		"Horror", "Music", "New", "Sci-Fi", "Sports", "Travel", "Café Noir ☕", "日本アニメ", `Kid's "B\Side"`, "Trailing ",
	}
}

func languageNames() []string {
	return []string{"English", "Italian", "Japanese", "Mandarin", "French", "German"}
}

func countryNames() []string {
	return []string{
		"Canada", "Australia", "Réunion", "Türkiye", "日本", "Côte d'Ivoire", "Česko", "Brasil", "India", "España",
		"Ελλάδα", "Україна", "ไทย", "Polska", "Curaçao", "Deutschland", "México", "Nauru", "United States", "Việt Nam",
	}
}
